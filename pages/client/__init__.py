"""The command line for who publishes: sign in, deploy, look, roll back, on whatever machine the server is."""
