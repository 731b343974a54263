"""What runs where torch, transformers and PEFT are: it makes the models, and has each release merge them."""
