import java.io.FileInputStream;
import java.security.cert.*;
import java.util.*;

/**
 * Are certificates valid and not revoked, in the eyes of OpenJDK?
 *
 * java PkixCheck.java {ocsp|crl ANCHOR LEAF [INTERMEDIATE ...] --} ...
 *
 * Prints for each "good", "revoked REASON", or why it cannot be told.
 */
public class PkixCheck {
    static X509Certificate read(String path) throws Exception {
        try (var in = new FileInputStream(path)) {
            return (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(in);
        }
    }

    static String check(List<String> args) throws Exception {
        var path = new ArrayList<X509Certificate>();
        for (var name : args.subList(2, args.size()))
            path.add(read(name));
        var anchor = new TrustAnchor(read(args.get(1)), null);
        var validator = CertPathValidator.getInstance("PKIX");
        var checker = (PKIXRevocationChecker)
            validator.getRevocationChecker();
        var options = EnumSet.of(PKIXRevocationChecker.Option.NO_FALLBACK);
        if (args.get(0).equals("crl"))
            options.add(PKIXRevocationChecker.Option.PREFER_CRLS);
        else
            options.add(PKIXRevocationChecker.Option.ONLY_END_ENTITY);
        checker.setOptions(options);
        var parameters = new PKIXParameters(Set.of(anchor));
        parameters.addCertPathChecker(checker);
        try {
            validator.validate(CertificateFactory.getInstance("X.509")
                .generateCertPath(path), parameters);
            return "good";
        } catch (CertPathValidatorException e) {
            if (e.getCause() instanceof CertificateRevokedException r)
                return "revoked " + r.getRevocationReason();
            return e.getReason() + ": " + e.getMessage();
        }
    }

    public static void main(String[] args) throws Exception {
        var one = new ArrayList<String>();
        for (var arg : args)
            if (arg.equals("--")) {
                System.out.println(check(one));
                one.clear();
            } else {
                one.add(arg);
            }
    }
}
