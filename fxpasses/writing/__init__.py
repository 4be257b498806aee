"""Files and folders written as a whole or not at all, whatever stops the process."""
