"""Where one signal came from: recomputed from its inputs and compared to the byte."""
