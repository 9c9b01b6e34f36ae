package admit

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// decisions counts what gates decided. It outlives a reload, as a counter should.
// Its labels hold configured names and reason codes only.
var decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "admit", Name: "decisions_total", Help: "Decisions of the gates.",
}, []string{"integration", "verdict", "reason"})

// logins counts attempts to sign in, by page, Basic and token endpoint alike.
var logins = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "admit", Name: "logins_total", Help: "Attempts to sign in.",
}, []string{"integration", "outcome"})

// countLogin counts an attempt; the outcome is success or the reason.
func countLogin(integration string, reason claims.Reason) {
	logins.WithLabelValues(integration, or(string(reason), "success")).Inc()
}

// refreshes counts how sessions were renewed at their providers.
var refreshes = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "admit", Name: "refreshes_total", Help: "Renewals of sessions at their providers.",
}, []string{"integration", "outcome"})

// exchanges counts what issuers were asked about clients that are no browsers.
var exchanges = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "admit", Name: "exchanges_total", Help: "Questions to issuers about what clients sent.",
}, []string{"integration", "outcome"})

// keyMetrics describes what is known of fetched keys, at the time it is asked.
var (
	fetchesDesc = prometheus.NewDesc("admit_key_fetches_total", "Fetches of key sets.", []string{"integration", "outcome"}, nil)
	keysAgeDesc = prometheus.NewDesc("admit_keys_age_seconds", "Time since the keys were last fetched with success.", []string{"integration"}, nil)
)

// cacheMetrics describes the caches of verified tokens of this process.
var (
	cacheHitsDesc      = prometheus.NewDesc("admit_token_cache_hits_total", "Tokens that were verified before.", nil, nil)
	cacheMissesDesc    = prometheus.NewDesc("admit_token_cache_misses_total", "Tokens that had to be verified.", nil, nil)
	cacheEvictionsDesc = prometheus.NewDesc("admit_token_cache_evictions_total", "Verified tokens that made room for others.", nil, nil)
)

// cacheCollector tells of them.
type cacheCollector struct{}

// Describe implements [prometheus.Collector].
func (cacheCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- cacheHitsDesc
	ch <- cacheMissesDesc
	ch <- cacheEvictionsDesc
}

// Collect implements [prometheus.Collector].
func (cacheCollector) Collect(ch chan<- prometheus.Metric) {
	hit, missed, evicted := jwt.CacheCounts()
	ch <- prometheus.MustNewConstMetric(cacheHitsDesc, prometheus.CounterValue, float64(hit))
	ch <- prometheus.MustNewConstMetric(cacheMissesDesc, prometheus.CounterValue, float64(missed))
	ch <- prometheus.MustNewConstMetric(cacheEvictionsDesc, prometheus.CounterValue, float64(evicted))
}

// fetches counts the fetches of one key set.
type fetches struct{ succeeded, failed atomic.Uint64 }

func (f *fetches) count(err error) {
	if err != nil {
		f.failed.Add(1)
		return
	}
	f.succeeded.Add(1)
}

// registerMetrics makes the metrics known to the registry of this configuration.
func registerMetrics(ctx caddy.Context, keys *keyCollector) error {
	registry := ctx.GetMetricsRegistry()
	if registry == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{decisions, logins, refreshes, exchanges, keys, cacheCollector{}} {
		var known prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &known) {
			return err
		}
	}
	return nil
}

// keyCollector tells of the fetched keys of the integrations of one configuration.
type keyCollector struct {
	mu           sync.Mutex
	integrations map[string]*integration
}

func (k *keyCollector) add(in *integration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.integrations[in.name] = in
}

func (k *keyCollector) all() []*integration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Values(k.integrations))
}

// Describe implements [prometheus.Collector].
func (k *keyCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- fetchesDesc
	ch <- keysAgeDesc
}

// Collect implements [prometheus.Collector].
func (k *keyCollector) Collect(ch chan<- prometheus.Metric) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, in := range k.integrations {
		if in.fetched == nil || in.fetched.remote == nil {
			continue
		}
		for outcome, n := range map[string]uint64{"success": in.fetched.fetches.succeeded.Load(), "failure": in.fetched.fetches.failed.Load()} {
			ch <- prometheus.MustNewConstMetric(fetchesDesc, prometheus.CounterValue, float64(n), name, outcome)
		}
		if age, ok := in.fetched.remote.Age(); ok {
			ch <- prometheus.MustNewConstMetric(keysAgeDesc, prometheus.GaugeValue, age.Round(time.Second).Seconds(), name)
		}
	}
}

// allowedCounter counts those whom an integration lets in, which is what happens most.
type allowedCounter func() prometheus.Counter

// countAllowed makes one, which is found by its labels when somebody is let in.
func countAllowed(integration string) allowedCounter {
	return sync.OnceValue(func() prometheus.Counter { return decisions.WithLabelValues(integration, string(claims.Allowed), "") })
}

// countDecision counts a decision about somebody whom an integration vouches for, or
// about nobody.
func countDecision(d *claims.Decision, in *integration) {
	if d.Verdict == claims.Allowed && in != nil && in.name == d.Integration {
		in.allowed().Inc()
		return
	}
	labels := [...]string{d.Integration, string(d.Verdict), string(d.Reason)}
	counters.get(labels, func() prometheus.Counter { return decisions.WithLabelValues(labels[:]...) }).Inc()
}

// counters remembers those of decisions: finding one by its labels costs more than
// counting.
var counters = memo[[3]string, prometheus.Counter]{limit: 1000}
