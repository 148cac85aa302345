"""Selection: how many components, and of which shape. Every fit here is one of `running`."""
