"""What the sources share that read a hosted service over HTTP."""
