"""Picture making that every model process shares: text, label, camera, encoder. Imports numpy, av and Pillow only."""
