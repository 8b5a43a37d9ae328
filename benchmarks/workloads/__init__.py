"""What the suite measures, a module each: `SIZES`, `SIDES`, and what each side `NEEDS`."""
