"""BatchedNMS: suppression for a batch, a class at a time, on boxes that are given."""
