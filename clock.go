package admit

import "time"

// now is the one clock by which credentials and sessions count. Tests set it
// forward.
var now = time.Now
