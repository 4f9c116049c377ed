package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// State is what a run needs to know about accounts and conversations; benchmarks/seeding.py writes it.
type State struct {
	Accounts []*Account `json:"accounts"`
	Pairs    []*Pair    `json:"pairs"` // pair i is accounts 2i and 2i+1
}

// Account is one chat user.
type Account struct {
	Name  string `json:"name"`
	Token string `json:"token"`
}

// Pair is one conversation. A is always the sender, B the receiver; both are connected.
type Pair struct {
	A    *Account `json:"-"`
	B    *Account `json:"-"`
	Conv string   `json:"conv"`
}

func loadState(path string) (*State, error) {
	s := &State{}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, err
	}
	for i, p := range s.Pairs {
		if 2*i+1 >= len(s.Accounts) {
			return nil, fmt.Errorf("pair %d has no accounts", i)
		}
		p.A, p.B = s.Accounts[2*i], s.Accounts[2*i+1]
	}
	return s, nil
}
