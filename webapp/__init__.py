"""The web app: one file a tab, thin handlers that call the packages below."""
