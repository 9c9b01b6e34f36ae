package local

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// lookEvery is how often a users file is looked at.
const lookEvery = 2 * time.Second

// watch keeps a list like its file. It looks instead of being told: that also
// works on network drives and where a file is replaced through symbolic links.
type watch struct {
	users  *Users
	inline []User
	file   string
	report func(error)

	seen os.FileInfo // when it last was read, nil if it must be read again
	sum  [sha256.Size]byte

	stop, stopped chan struct{}
}

func (w *watch) run() {
	defer close(w.stopped)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		if changed, err := w.look(); changed || err != nil {
			w.report(err)
		}
	}
}

// look takes the file over if it is another than before. It reports a change, or
// what is wrong with it; of what was reported it reports nothing.
func (w *watch) look() (changed bool, err error) {
	data, err := w.read()
	if err != nil {
		return false, w.once([]byte(err.Error()), fmt.Errorf("users file: %w", err))
	}
	if data == nil || w.sum == sha256.Sum256(data) {
		return false, nil
	}
	users, err := ReadUsers(data)
	if err != nil {
		return false, w.once(data, err)
	}
	list, err := newUserList(w.inline, users)
	if err != nil {
		return false, w.once(data, err)
	}
	w.sum = sha256.Sum256(data)
	w.users.list.Store(list)
	return true, nil
}

// once returns err unless it was returned for this before.
func (w *watch) once(about []byte, err error) error {
	sum := sha256.Sum256(about)
	if sum == w.sum {
		return nil
	}
	w.sum = sum
	return err
}

// read returns the text of the file, nil if the file is as it was.
func (w *watch) read() ([]byte, error) {
	f, info, err := openUsers(w.file)
	if err != nil {
		w.seen = nil
		return nil, err
	}
	defer f.Close()
	if w.seen != nil && os.SameFile(w.seen, info) && w.seen.Size() == info.Size() && w.seen.ModTime().Equal(info.ModTime()) {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxUsersFile+1))
	if err != nil {
		w.seen = nil
		return nil, err
	}
	// What was written within the clock tick of a file system may change again and
	// keep its time and size: such a file is read once more.
	if w.seen = info; time.Since(info.ModTime()) < lookEvery {
		w.seen = nil
	}
	return data, nil
}

var errNotAFile = errors.New("not a file of at most 10 MiB")

// openUsers opens a users file, if it is one: reading a pipe could take forever.
func openUsers(name string) (*os.File, os.FileInfo, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxUsersFile {
		return nil, info, errNotAFile
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, info, err
	}
	return f, info, nil
}
