"""Growing a ticket: operators propose a morph, initialisations and masks fill what is new."""
