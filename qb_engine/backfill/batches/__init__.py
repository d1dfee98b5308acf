"""one batch after the other: written once, looked at, tried again, narrowed down, set aside"""
