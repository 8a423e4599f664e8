"""Bit maps in files: name -> width as plain JSON or CSV, our own records, whole fronts; and back."""
