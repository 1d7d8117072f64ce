package s3store

// pastFreed takes the place of the current version from what MinIO lists in it: the version
// below is what a HEAD of the key shows. See object.Object.Freed.
func (g *gathered) pastFreed() {
	for i := range g.objects {
		o := &g.objects[i]
		if !o.Freed() || o.Noncurrent {
			continue
		}
		o.Noncurrent = true
		if i+1 < len(g.objects) && g.objects[i+1].Key == o.Key {
			g.objects[i+1].Noncurrent = false
		}
	}
}
