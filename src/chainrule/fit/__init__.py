"""Fitting: the parameters of a scalar formula from data, by the derivatives that chainrule derived."""
