package main

// meter takes the machine's costs between two moments.
type meter struct {
	roots []Root
	trees map[string]Usage
	all   float64
	own   float64
	steal float64
}

func startMeter(roots []Root) *meter {
	m := &meter{roots: roots, own: selfCPU(), steal: stolen()}
	m.trees, m.all = treeUsage(roots, false)
	return m
}

// stop returns the processor's part of the costs.
func (m *meter) stop() Costs {
	c := Costs{CPUByRoot: map[string]float64{}}
	trees, all := treeUsage(m.roots, false)
	for n, u := range trees {
		used := u.CPU - m.trees[n].CPU
		c.CPUByRoot[n] = r3(used)
		c.CPU += used
	}
	c.GenCPU = r3(selfCPU() - m.own)
	c.OtherCPU = r3(all - m.all - c.CPU - c.GenCPU)
	c.StealCPU = r3(stolen() - m.steal)
	c.CPU = r3(c.CPU)
	return c
}

// per divides the processor time among what was done.
func (c *Costs) per(done int) {
	if done > 0 {
		c.CPUPer1k = r3(c.CPU / float64(done) * 1000)
	}
}

// memory adds the memory that the trees hold now.
func (c *Costs) memory(roots []Root) {
	c.PSSByRoot = map[string]float64{}
	trees, _ := treeUsage(roots, true)
	for n, u := range trees {
		c.PSSByRoot[n] = r3(u.PSS)
		c.PSS += u.PSS
		c.RSS += u.RSS
	}
	c.PSS, c.RSS = r3(c.PSS), r3(c.RSS)
}
