"""Records of a ``.pt2`` archive, read entry by entry: containers, JSON records, names, tensors and facts."""
