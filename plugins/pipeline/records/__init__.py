"""What is published about bars: columns of signals, their JSON bytes, and structs for who looks at one."""
