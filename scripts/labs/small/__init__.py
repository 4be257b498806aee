"""Lab 3: small nets on MNIST and SST-2, their forms, and the benchmark."""
