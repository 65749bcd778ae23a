"""`python -m bench.gpu`: how near the pipeline model comes to what a GPU can do, by stage, beside stock diffusers."""
