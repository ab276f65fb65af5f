"""What speaks HTTP: a view parses, asks the services, replies. With ``app`` the only users of flask."""
