"""What lies in a ``.pt2`` archive, entry by entry: containers, JSON records, names, tensors and facts."""
