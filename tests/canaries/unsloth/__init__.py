"""The canaries of unsloth_zoo and unsloth, on real releases and on edits of them."""
