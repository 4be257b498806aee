"""A whole emulated PC, for x86 CPUs that qemu does not know: Bochs boots a kernel and runs one Python program."""
