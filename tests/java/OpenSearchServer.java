import org.codelibs.opensearch.runner.OpenSearchRunner;

/** Runs one node of OpenSearch with k-NN until standard input ends: FOLDER PORT. */
class OpenSearchServer {
    public static void main(String[] arguments) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("http.port", arguments[1]);
            settings.put("transport.port", "0");
            settings.put("network.host", "127.0.0.1");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        });
        runner.build(OpenSearchRunner.newConfigs()
            .basePath(arguments[0])
            .clusterName("kvasir-test")
            .numOfNode(1)
            .disableESLogger()
            .pluginTypes("org.opensearch.knn.plugin.KNNPlugin"));
        while (System.in.read() >= 0) {
        }
        System.exit(0);
    }
}
