"""The canaries of PEFT, transformers, TRL, SkyRL and bitsandbytes, tried on their releases."""
