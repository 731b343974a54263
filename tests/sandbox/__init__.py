"""What gets out of the sandbox: nothing but an answer."""
