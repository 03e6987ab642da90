"""The science: four studies, each also an example of a study of one's own."""
