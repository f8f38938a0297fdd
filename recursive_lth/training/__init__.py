"""Training a ticket: data on the device, the loop, evaluation."""
