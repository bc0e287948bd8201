"""Characters put together from parts: traits and dice, arts, garments of roles, drawing, a page; knows no tool."""
