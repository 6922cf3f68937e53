"""Operations that the native library has plugins for: a file for each, found by discovery."""
