"""What one does with streams besides coding them: look into them, check, cut, join, mend. Nothing
here encodes anything."""
