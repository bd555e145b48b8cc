"""What is kept on disk between passes: the record, checkpoints, the state document.

Each has its values, its JSON document and its file. Other rooms decide their content.
"""
