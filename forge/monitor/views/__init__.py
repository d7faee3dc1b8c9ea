"""The pages, one file each; Streamlit runs the one that is asked for."""
