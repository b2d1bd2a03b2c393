"""The scorer service: articles in, scores and progress marks out."""
