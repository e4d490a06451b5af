"""What files hold: pictures, printed sheets, PDF, tables. Files of strangers are read in a sandbox."""
