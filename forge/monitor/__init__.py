"""The dashboard: pages that show what the commands tell, and change nothing but `params.yaml` on request."""
