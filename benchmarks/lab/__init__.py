"""How quick and how small the lab is, measured in a real JupyterLab and a real Chromium."""
