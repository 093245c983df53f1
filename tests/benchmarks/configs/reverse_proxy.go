// The standard library's reverse proxy, as short as its documentation shows it.
package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	site, err := url.Parse(os.Args[2])
	if err != nil {
		panic(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(site)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 128
	proxy.Transport = transport
	panic(http.ListenAndServe(os.Args[1], proxy))
}
