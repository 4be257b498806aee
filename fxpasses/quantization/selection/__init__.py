"""Choice by value in int8 graphs: the k best in an order that both runtimes share."""
