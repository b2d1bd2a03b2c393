"""Models of trees: their arrays with one compiled loop (`arrays`, `oblivious`), the libraries' files, and what the
plugins of all of them share (`model`).
"""
