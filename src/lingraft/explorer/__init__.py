"""The explorer: a donor map as one page that opens from disk. build.py makes it; page/ is what it is made of."""
