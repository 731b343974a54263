"""The canaries of every package that is watched, on its real releases and on edits of them."""
