package doctor

// twoStores tells what it means that the bytes go from one store to another.
func twoStores(f *Facts, fs *findings) {
	if !f.Through {
		return
	}
	fs.add(Note, "two-stores", "The destination's store cannot read the source with its credentials, so all bytes go through this machine: read with the one, written with the other",
		"run it near both. The source's credentials need to list and read, the destination's to write and read back: `reseal iam-policy --end source` and `--end dest` print each")
}
