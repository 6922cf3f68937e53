"""What families share: preprocessing, decoding, heads, scores and suppression, read off the graph."""
