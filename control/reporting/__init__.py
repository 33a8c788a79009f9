"""Results for people: pages, figures, advice on the intensity."""
