"""What Rhea's Python tests and scripts share: launching an emulator and speaking to it. Standard library only."""
