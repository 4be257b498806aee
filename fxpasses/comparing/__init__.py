"""What two models differ in, operator by operator: read from files or graphs, matched, told as text and picture."""
