package canary

import (
	"maps"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// litter is what a canary made and has to take away again, and what it saw of it. Its
// methods may be called by many questions at once; clean reads it when all have ended.
type litter struct {
	mu      sync.Mutex
	next    int
	made    map[string]map[string]bool // key → version IDs, as far as replies told
	uploads map[string]object.Ref      // open ones, by ID
	lost    bool                       // the answer to a CreateMultipartUpload was lost
	held    map[object.Ref]bool        // under a legal hold
	seen    map[string]object.Encryption
	stays   map[object.Ref]bool // not the canary's to delete
	// tagging is whether tags can be read.
	tagging object.Finding
	// kms is how a KMS failed that the target does not need.
	kms error
}

func newLitter() *litter {
	return &litter{made: map[string]map[string]bool{}, uploads: map[string]object.Ref{}, held: map[object.Ref]bool{},
		seen: map[string]object.Encryption{}, stays: map[object.Ref]bool{}}
}

// number is another one for every throwaway object.
func (l *litter) number() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next
}

func (l *litter) object(ref object.Ref, version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made[ref.Key] == nil {
		l.made[ref.Key] = map[string]bool{}
	}
	l.made[ref.Key][version] = true
}

func (l *litter) kmsFailed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kms = err
}

func (l *litter) kmsErr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kms
}

// versions says whether anything that was made, or a marker that was, has a version ID.
func (l *litter) versions() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for made := range maps.Values(l.made) {
		for version := range made {
			if version != "" && version != object.NullVersion {
				return true
			}
		}
	}
	return false
}

// leave takes an object for one that stays. An upload of its key may be the canary's all the
// same.
func (l *litter) leave(ref object.Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stays[ref] = true; l.made[ref.Key] == nil {
		l.made[ref.Key] = map[string]bool{}
	}
}

func (l *litter) upload(id string, ref object.Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uploads[id] = ref
}

func (l *litter) uploadEnded(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.uploads, id)
}

// open are the keys that have an open upload.
func (l *litter) open() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := map[string]bool{}
	for ref := range maps.Values(l.uploads) {
		open[ref.Key] = true
	}
	return open
}

// uploadLost: there may be an upload whose ID nobody knows.
func (l *litter) uploadLost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
}

func (l *litter) hold(ref object.Ref, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if on {
		l.held[ref] = true
	} else {
		delete(l.held, ref)
	}
}

// saw remembers how an object was seen to be encrypted.
func (l *litter) saw(key string, e object.Encryption) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[key] = e
}

// unsee forgets that, for an object that is about to be changed.
func (l *litter) unsee(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, key)
}

// tagsRead remembers how the store answered to GetObjectTagging.
func (l *litter) tagsRead(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil && l.tagging == object.Unknown:
		l.tagging = object.Yes
	case err != nil && !undecided(err) && !denied(err):
		l.tagging = object.No
	}
}

func (l *litter) tagsReadable() object.Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tagging
}
